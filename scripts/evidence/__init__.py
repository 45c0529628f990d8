"""Why a release may move: what is known of its model, of its images and of how it ran."""
