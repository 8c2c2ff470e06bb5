"""Watching the feeds: the message browser, quarantine with dismissals, replays with their dry run,
the masked view of raw messages, status, metrics and alerts. The routes and `ssci feed` use the
same functions.
"""
