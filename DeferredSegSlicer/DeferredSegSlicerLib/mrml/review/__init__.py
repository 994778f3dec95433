"""The review in the scene: views on a region, its highlight, the corrected copy with its edit limit, previews."""
