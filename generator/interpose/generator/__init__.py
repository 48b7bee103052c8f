"""From specs and protos to C: spec -> load -> model -> render -> write. Only `write` touches the disk."""
