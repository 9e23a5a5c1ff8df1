package jetstream

// RewindAsBeforeResets has a Bus rewind cursors as on servers that cannot reset a consumer.
func RewindAsBeforeResets(b *Bus) { b.recreates = true }
