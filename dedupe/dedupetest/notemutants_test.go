package dedupetest

import (
	"context"
	"time"

	"github.com/onceish/onceish/dedupe"
	memdedupe "github.com/onceish/onceish/dedupe/memory"
)

// notesTold tampers with what Note is told.
func notesTold(f func(n *dedupe.Note)) func(s *memdedupe.Store) allStore {
	return func(s *memdedupe.Store) allStore {
		return tampered{allStore: s, note: func(ctx context.Context, ns []dedupe.Note, lease, ttl time.Duration) ([]error, error) {
			told := append([]dedupe.Note(nil), ns...)
			for i := range told {
				f(&told[i])
			}
			return s.Note(ctx, told, lease, ttl)
		}}
	}
}

// noteAnswers tampers with the notes that Claim answers.
func noteAnswers(f func(c *dedupe.Claim)) func(s *memdedupe.Store) allStore {
	return func(s *memdedupe.Store) allStore {
		return answers(s, func(_ dedupe.Request, c *dedupe.Claim) { f(c) })
	}
}

func noteMutants() map[string]mutant {
	return map[string]mutant{
		"notes are not kept": {"Note/is in every later answer", notesTold(func(n *dedupe.Note) { n.Text = "x" })},
		"a note is forgotten when done": {"Note/stays with what is done", noteAnswers(func(c *dedupe.Claim) {
			if c.State == dedupe.Done {
				c.Note = ""
			}
		})},
		"a settlement forgets the note": {"Note/of a row that is gone", func(s *memdedupe.Store) allStore {
			return settlements(s, func(x *dedupe.Settlement) { x.Claim.Note = "" })
		}},
		"a note renews nothing": {"Note/renews the claim", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, note: func(ctx context.Context, ns []dedupe.Note, _, ttl time.Duration) ([]error, error) {
				return s.Note(ctx, ns, time.Nanosecond, ttl)
			}}
		}},
		"anybody may note": {"Note/of a claim that is another's", func(s *memdedupe.Store) allStore {
			owners := &owners{}
			x, _ := answers(s, func(_ dedupe.Request, c *dedupe.Claim) { owners.won([]dedupe.Claim{*c}) }).(tampered)
			x.note = func(ctx context.Context, ns []dedupe.Note, lease, ttl time.Duration) ([]error, error) {
				told := append([]dedupe.Note(nil), ns...)
				for i := range told {
					told[i].Claim = owners.of(told[i].Claim)
				}
				return s.Note(ctx, told, lease, ttl)
			}
			return x
		}},
		"any text is a note": {"Note/a text that is none", notesTold(func(n *dedupe.Note) { n.Text = "fine" })},
		"only 500 are noted": {"Note/large batches", func(s *memdedupe.Store) allStore {
			return tampered{allStore: s, note: func(ctx context.Context, ns []dedupe.Note, lease, ttl time.Duration) ([]error, error) {
				_, err := s.Note(ctx, ns[:min(len(ns), 500)], lease, ttl)
				return make([]error, len(ns)), err
			}}
		}},
	}
}
