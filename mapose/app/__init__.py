"""The browser app: a local server over projects and results, and the pages that it serves.

Every page is thin: what it shows and does is a function of the floors below, which Python and the
command line have as well.
"""

from mapose.app.serving import serve

__all__ = ["serve"]
