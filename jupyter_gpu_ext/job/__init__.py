"""What an exported script imports."""
