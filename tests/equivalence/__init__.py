"""Whole third-party test suites, run bare and captured: every test must give the same verdict on both sides."""
