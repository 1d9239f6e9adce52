"""What learning a style takes: VGG-16, the losses. Quick painting loads none of it."""
