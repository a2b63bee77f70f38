"""The pages of the platform about its data: what there is, and the way into a lab; later queue and results."""
