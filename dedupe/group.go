package dedupe

import "context"

// GroupRemover forgets a group that is no more. It is found by assertion on a Store, and is safe
// for concurrent use.
type GroupRemover interface {
	// RemoveGroup removes all marks and watermarks of the group, on all topics, and returns how
	// many it has removed. It must not be called while the group has members: what they have
	// handled may run again. It blocks for longer than other calls, until ctx ends. A repeated call
	// removes what is left.
	RemoveGroup(ctx context.Context, group string) (removed int, err error)
}
