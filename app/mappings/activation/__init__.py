"""A site's mapping on its way into use: checked, compared with the one in use, kept by version."""
