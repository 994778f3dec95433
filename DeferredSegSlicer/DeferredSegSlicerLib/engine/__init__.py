"""How a deferral is computed: segmentors, the pipeline and deferral methods, with torch; imports core."""
