"""Every user verb's grammar, once and pure: a line becomes a Spec, a Spec becomes source."""
