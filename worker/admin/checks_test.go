package admin

import (
	"context"
	"errors"
	"testing"
)

// TestReadinessIsAnsweredInTime: a check that does not end with its context is left behind, and
// the others are answered.
func TestReadinessIsAnsweredInTime(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	end, ended := make(chan struct{}), make(chan struct{})
	got := runInTime(ctx, []check{
		{"hangs", func(context.Context) (string, error) {
			defer close(ended)
			<-end
			return "", nil
		}},
		{"answers", func(context.Context) (string, error) {
			cancel()
			return "a note", nil
		}},
	})
	if got[0].name != "hangs" || !errors.Is(got[0].err, context.Canceled) || got[1].name != "answers" {
		t.Errorf("%+v", got)
	}
	close(end)
	<-ended
}
