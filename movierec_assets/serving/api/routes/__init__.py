"""Routes by subject; each module has a `router`, which `serving.api.app` includes."""
