package provision

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/onceish/onceish/worker/config"
)

// limitFields bound what a stream keeps.
func limitFields() []streamField {
	return []streamField{
		{
			fieldMaxAge, func(c *streamConfig) string { return showLimit(c.MaxAge, config.FormatDuration) },
			func(to, from *streamConfig) { to.MaxAge = from.MaxAge },
			func(c *streamConfig) string { return "--max-age=" + max(c.MaxAge, 0).String() }, tooOld,
		},
		{
			fieldMaxBytes, func(c *streamConfig) string { return showLimit(c.MaxBytes, config.FormatSize) },
			func(to, from *streamConfig) { to.MaxBytes = from.MaxBytes },
			func(c *streamConfig) string { return "--max-bytes=" + flagLimit(c.MaxBytes) }, tooLarge,
		},
		{
			fieldMaxMsgs, func(c *streamConfig) string { return showLimit(c.MaxMsgs, formatCount) },
			func(to, from *streamConfig) { to.MaxMsgs = from.MaxMsgs },
			func(c *streamConfig) string { return "--max-msgs=" + flagLimit(c.MaxMsgs) }, tooMany,
		},
		{
			fieldPerSubject, func(c *streamConfig) string { return showLimit(c.MaxMsgsPerSubject, formatCount) },
			func(to, from *streamConfig) { to.MaxMsgsPerSubject = from.MaxMsgsPerSubject },
			func(c *streamConfig) string { return "--max-msgs-per-subject=" + flagLimit(c.MaxMsgsPerSubject) }, tooManyOfSubject,
		},
		{
			fieldMsgSize, func(c *streamConfig) string { return showLimit(int64(c.MaxMsgSize), config.FormatSize) },
			func(to, from *streamConfig) { to.MaxMsgSize = from.MaxMsgSize },
			func(c *streamConfig) string { return "--max-msg-size=" + flagLimit(int64(c.MaxMsgSize)) }, nil,
		},
	}
}

// showLimit shows a limit; below 1 there is none.
func showLimit[T int64 | time.Duration](limit T, show func(T) string) string {
	if limit <= 0 {
		return "unlimited"
	}
	return show(limit)
}

func formatCount(n int64) string { return strconv.FormatInt(n, 10) }

// flagLimit is a limit as nats stream edit takes it.
func flagLimit(limit int64) string {
	if limit <= 0 {
		limit = -1
	}
	return formatCount(limit)
}

func tooOld(_ context.Context, s *foundStream, want *streamConfig) (string, error) {
	age := s.info.TimeStamp.Sub(s.info.State.FirstTime)
	if s.info.State.Msgs == 0 || want.MaxAge <= 0 || age <= want.MaxAge {
		return "", nil
	}
	return fmt.Sprintf("its oldest message is %v old, and would be deleted", age.Round(100*time.Millisecond)), nil
}

func tooLarge(_ context.Context, s *foundStream, want *streamConfig) (string, error) {
	if want.MaxBytes <= 0 || s.info.State.Bytes <= uint64(want.MaxBytes) {
		return "", nil
	}
	return fmt.Sprintf("it has %d bytes, and its oldest messages would be deleted", s.info.State.Bytes), nil
}

func tooMany(_ context.Context, s *foundStream, want *streamConfig) (string, error) {
	if want.MaxMsgs <= 0 || s.info.State.Msgs <= uint64(want.MaxMsgs) {
		return "", nil
	}
	return fmt.Sprintf("it has %d messages, and the oldest would be deleted", s.info.State.Msgs), nil
}

func tooManyOfSubject(ctx context.Context, s *foundStream, want *streamConfig) (string, error) {
	if want.MaxMsgsPerSubject <= 0 || s.info.State.Msgs <= uint64(want.MaxMsgsPerSubject) {
		return "", nil
	}
	counts, err := s.countSubjects(ctx)
	for subject, n := range counts {
		if n > uint64(want.MaxMsgsPerSubject) {
			return fmt.Sprintf("it has %d messages of %q, and the oldest would be deleted", n, subject), nil
		}
	}
	return "", err
}
