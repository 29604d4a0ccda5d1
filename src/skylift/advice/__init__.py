"""Whether the cloud is right for a project, and which kind of service: rules that are data, and their sums. Pure."""
