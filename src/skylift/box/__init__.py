"""A persistent development box: stopped when nobody uses it, kept to office hours, resized."""
