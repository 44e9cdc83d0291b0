"""A system on Kubernetes: manifests for kustomize, a base and components to choose from."""
