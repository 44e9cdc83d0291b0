"""From an app to what engines run: images, and what Compose, a Swarm or Kubernetes are told about them."""
