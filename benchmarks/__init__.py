"""What is measured again and again: speed, steadiness, and the pictures of a style for docs/."""
