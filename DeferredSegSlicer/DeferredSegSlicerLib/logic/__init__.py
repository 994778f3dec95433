"""The module without its widget: what joins the scene, the worker and the stored case."""
