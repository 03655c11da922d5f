"""The images of `deploy/`, built and run by podman through `services.sh`; `engine` sets podman up. Needs root."""
