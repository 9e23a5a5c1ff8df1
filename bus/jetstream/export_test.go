package jetstream

// RewindAsBeforeResets has a Bus rewind cursors as on servers that cannot reset a consumer.
func RewindAsBeforeResets(b *Bus) { b.recreates = true }

// ScheduleSubject is the subject of an event's schedule.
func ScheduleSubject(topic, identity string) string { return scheduleSubject(topic, identity) }
