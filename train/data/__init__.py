"""What training looks at: photographs, the painting, pairs of frames with exact flow."""
