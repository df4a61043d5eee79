"""The bureau: who takes part and what it adds up to, without watching people."""
