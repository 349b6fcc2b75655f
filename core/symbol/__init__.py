"""The symbol room: closed candles in, features, signals and one decision per bar out."""
