"""The app: pages in a browser, by Streamlit.

Belongs here: pages, and what they share. Does not: figures of its own; all come from the API. Nothing here imports the
database, MLflow, Dagster, or another room than `settings` and `errors`.
"""
