"""What is measured again and again: speed, drift, and the pictures of a style for docs/."""
