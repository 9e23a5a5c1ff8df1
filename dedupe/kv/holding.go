package kv

import "sync"

// maxHoldings bounds the claims that are remembered. One that is forgotten costs a read.
const maxHoldings = 1 << 14

// holdings remember what this store last wrote under its own claims, so that ending one takes a
// write and no read. They are guesses: the server compares revisions. Safe for concurrent use.
type holdings struct {
	mu      sync.Mutex
	byNonce map[string]holding
}

type holding struct {
	key string
	entry
}

func newHoldings() *holdings { return &holdings{byNonce: map[string]holding{}} }

// find returns what is kept under the key if the claim is remembered.
func (h *holdings) find(nonce, key string) (entry, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	got, ok := h.byNonce[nonce]
	return got.entry, ok && got.key == key
}

// keep remembers the claim, unless a later revision is remembered already.
func (h *holdings) keep(key string, e entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	got, ok := h.byNonce[e.row.Owner]
	if ok && got.key == key && got.revision > e.revision {
		return
	}
	if !ok && len(h.byNonce) >= maxHoldings {
		for nonce := range h.byNonce {
			delete(h.byNonce, nonce)
			break
		}
	}
	h.byNonce[e.row.Owner] = holding{key, e}
}

func (h *holdings) drop(nonce string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.byNonce, nonce)
}
