"""One module a format: each recognises its bytes and reads its header, without torch."""
