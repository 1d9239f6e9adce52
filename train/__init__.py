"""Training of stylevid's weights: perceptual losses, then a flow-warped temporal loss."""
