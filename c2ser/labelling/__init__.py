"""Labels for speech that has none (sections IV.A and IV.B): from the sound, from the words, from experts."""
