"""The floor every room stands on: settings, time, people, events, figures and the web shell."""
