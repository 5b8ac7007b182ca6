"""The doctor: facts are gathered by probes, findings follow from them."""
