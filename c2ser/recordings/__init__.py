"""From recordings to emotions: speech is found, cut into segments and recognised; results in eight formats."""
