package kv

import "sync"

// maxHoldings bounds the claims that are remembered. One that is forgotten costs a read.
const maxHoldings = 1 << 14

// claimCache remembers what this store last wrote under its own claims, so that ending one takes a
// write and no read. Its entries are guesses: the server compares revisions. It is safe for
// concurrent use.
type claimCache struct {
	mu      sync.Mutex
	byNonce map[string]cachedClaim
}

type cachedClaim struct {
	key string
	keyEntry
}

func newClaimCache() *claimCache { return &claimCache{byNonce: map[string]cachedClaim{}} }

// findClaim returns what is kept under the key if the claim is remembered.
func (h *claimCache) findClaim(nonce, key string) (keyEntry, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	got, ok := h.byNonce[nonce]
	return got.keyEntry, ok && got.key == key
}

// rememberClaim remembers the claim, unless a later revision is remembered already.
func (h *claimCache) rememberClaim(key string, e keyEntry) {
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
	h.byNonce[e.row.Owner] = cachedClaim{key, e}
}

func (h *claimCache) forgetClaim(nonce string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.byNonce, nonce)
}
