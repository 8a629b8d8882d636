"""Who is who in all views."""
