"""Ways to tell somebody outside: behind one port, each in a module of its own."""
