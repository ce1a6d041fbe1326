"""The Dispersed API: signing, client, listings, limiter and poller. It knows nothing of Kubernetes."""
