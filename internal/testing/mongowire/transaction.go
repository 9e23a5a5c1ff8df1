package mongowire

import (
	"context"
	"fmt"
	"maps"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// openTransaction is one that is open: what it has written, and which documents it locks.
type openTransaction struct {
	session string
	written []bson.D
	locks   map[string]bool
	leaked  []bson.D // commands that undo what was shown too early
}

// numberOf names the transaction of a command.
func numberOf(cmd bson.D) string { return fmt.Sprint(Get(cmd, "lsid"), Get(cmd, "txnNumber")) }

// abandonMatching ends open transactions, and frees what they lock.
func (s *FakeReplicaSet) abandonMatching(which func(*openTransaction) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.open, func(_ string, t *openTransaction) bool { return which(t) })
	s.wakeLockWaiters()
}

// wakeLockWaiters wakes whoever waits for a lock. It is called with the mutex held.
func (s *FakeReplicaSet) wakeLockWaiters() {
	close(s.freed)
	s.freed = make(chan struct{})
}

// endTransaction ends one transaction, and returns what it was; nil: there is none.
func (s *FakeReplicaSet) endTransaction(key string) *openTransaction {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.open[key]
	delete(s.open, key)
	s.wakeLockWaiters()
	return t
}

// beginTransaction is the open transaction of that number, or a new one.
func (s *FakeReplicaSet) beginTransaction(key string, cmd bson.D) *openTransaction {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.open[key]
	if t == nil {
		t = &openTransaction{session: fmt.Sprint(Get(cmd, "lsid")), locks: make(map[string]bool)}
		s.open[key] = t
	}
	return t
}

// killSessions ends the transactions of sessions.
func (s *FakeReplicaSet) killSessions(cmd bson.D) bson.D {
	s.mu.Lock()
	refused := s.noKills
	s.mu.Unlock()
	if refused {
		return Failure(13, "Unauthorized")
	}
	sessions, _ := cmd[0].Value.(bson.A)
	for _, id := range sessions {
		s.abandonMatching(func(t *openTransaction) bool {
			if t.session != fmt.Sprint(id) {
				return false
			}
			s.kills++
			return true
		})
	}
	return okReply()
}

// lockRows takes the locks of rows for a transaction; false: another one has one of them.
func (s *FakeReplicaSet) lockRows(t *openTransaction, rows []string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range rows {
		for _, other := range s.open {
			if other != t && other.locks[r] {
				return false
			}
		}
	}
	for _, r := range rows {
		t.locks[r] = true
	}
	return true
}

// rowsLocked reports whether a transaction has one of the rows, and what is closed when that may
// have changed.
func (s *FakeReplicaSet) rowsLocked(rows []string) (bool, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range rows {
		for _, t := range s.open {
			if t.locks[r] {
				return true, s.freed
			}
		}
	}
	return false, s.freed
}

// awaitLocks waits, before an update outside of transactions, for those that lock its rows: until
// they end, or its time is over.
func (c *clientSession) awaitLocks(cmd bson.D) (bson.D, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if ms, ok := Get(cmd, "maxTimeMS").(int64); ok {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
		defer cancel()
	}
	for {
		_, rows, err := c.matchRows(cmd)
		if err != nil {
			return nil, err
		}
		held, freed := c.set.rowsLocked(rows)
		if !held {
			return nil, nil // nothing holds it up
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return Failure(50, "MaxTimeMSExpired"), nil
		case <-c.set.closed:
			return nil, errCut
		}
	}
}

func (c *clientSession) applyWrite(cmd bson.D) (bson.D, error) {
	s := c.set
	key := numberOf(cmd)
	s.mu.Lock()
	_, known := s.open[key]
	done := s.done[key]
	s.mu.Unlock()
	name := cmd[0].Key
	switch {
	case name == "commitTransaction" && done:
		return okReply(), nil
	case !known && Get(cmd, "startTransaction") != true:
		return Gone(), nil
	case name == "commitTransaction":
		return okReply(), c.commitWrites(key)
	case name == "abortTransaction":
		return okReply(), c.undoWrites(s.endTransaction(key))
	}
	t := s.beginTransaction(key, cmd)
	switch name {
	case "insert":
		return c.insertRows(key, t, cmd)
	case "update":
		return c.updateRows(key, t, cmd)
	case "delete":
		return c.deleteRows(key, t, cmd)
	}
	return c.askServer(withoutTransaction(cmd))
}

func (c *clientSession) commitWrites(key string) error {
	s := c.set
	s.mu.Lock()
	t := s.open[key]
	s.mu.Unlock()
	for _, cmd := range t.written {
		if reply, err := c.askServer(cmd); err != nil || Get(reply, "writeErrors") != nil {
			return fmt.Errorf("%v: %w", reply, err)
		}
	}
	s.mu.Lock()
	s.done[key] = true
	s.mu.Unlock()
	s.endTransaction(key)
	return nil
}

func (c *clientSession) undoWrites(t *openTransaction) error {
	for _, cmd := range t.leaked {
		if _, err := c.askServer(cmd); err != nil {
			return err
		}
	}
	return nil
}

// conflictError is how a transaction that meets a lock ends.
func (s *FakeReplicaSet) conflictError(key string) bson.D {
	s.endTransaction(key)
	return LabelledFailure(112, "WriteConflict", "TransientTransactionError")
}

// insertRows keeps an insert. A duplicate ends the transaction, as any error of a write does, and
// is not labelled.
func (c *clientSession) insertRows(key string, t *openTransaction, cmd bson.D) (bson.D, error) {
	docs, _ := Get(cmd, "documents").(bson.A)
	undo := bson.A{}
	for i, x := range docs {
		doc, _ := x.(bson.D)
		id := Get(doc, "_id")
		row := c.rowID(cmd, id)
		there, err := c.findRows(cmd, bson.D{{Key: "_id", Value: id}})
		if err != nil {
			return nil, err
		}
		if len(there) > 0 || t.locks[row] {
			c.set.endTransaction(key)
			text := fmt.Sprintf("E11000 duplicate key error collection: %v.%v index: _id_ dup key: { _id: %v }", Get(cmd, "$db"), cmd[0].Value, id)
			return append(bson.D{{Key: "n", Value: int32(0)}, {Key: "writeErrors", Value: bson.A{WriteError(i, 11000, text)}}}, okReply()...), nil
		}
		if !c.set.lockRows(t, []string{row}) {
			return c.set.conflictError(key), nil
		}
		undo = append(undo, bson.D{{Key: "q", Value: bson.D{{Key: "_id", Value: id}}}, {Key: "limit", Value: int32(1)}})
	}
	c.set.mu.Lock()
	leaks := c.set.leaks
	c.set.mu.Unlock()
	if leaks {
		t.leaked = append(t.leaked, bson.D{{Key: "delete", Value: cmd[0].Value}, {Key: "deletes", Value: undo}, {Key: "$db", Value: Get(cmd, "$db")}})
		return c.askServer(withoutTransaction(cmd))
	}
	t.written = append(t.written, withoutTransaction(cmd))
	return append(bson.D{{Key: "n", Value: int32(len(docs))}}, okReply()...), nil
}

// updateRows keeps an update, and answers what the server would count of it.
func (c *clientSession) updateRows(key string, t *openTransaction, cmd bson.D) (bson.D, error) {
	counted, rows, err := c.matchRows(cmd)
	if err != nil {
		return nil, err
	}
	if !c.set.lockRows(t, rows) {
		return c.set.conflictError(key), nil
	}
	t.written = append(t.written, withoutTransaction(cmd))
	return append(counted, okReply()...), nil
}

// deleteRows keeps a delete, and answers what the server would count of it.
func (c *clientSession) deleteRows(key string, t *openTransaction, cmd bson.D) (bson.D, error) {
	statements, _ := Get(cmd, "deletes").(bson.A)
	var rows []string
	for _, x := range statements {
		d, _ := x.(bson.D)
		q, _ := Get(d, "q").(bson.D)
		there, err := c.findRows(cmd, q)
		if err != nil {
			return nil, err
		}
		for _, x := range there {
			doc, _ := x.(bson.D)
			rows = append(rows, c.rowID(cmd, Get(doc, "_id")))
		}
	}
	if !c.set.lockRows(t, rows) {
		return c.set.conflictError(key), nil
	}
	t.written = append(t.written, withoutTransaction(cmd))
	return append(bson.D{{Key: "n", Value: int32(len(rows))}}, okReply()...), nil
}

// matchRows is what the server would count of an update, and the rows that it is about.
func (c *clientSession) matchRows(cmd bson.D) (counted bson.D, rows []string, err error) {
	statements, _ := Get(cmd, "updates").(bson.A)
	var matched, upserted int
	var ids bson.A
	for i, x := range statements {
		u, _ := x.(bson.D)
		q, _ := Get(u, "q").(bson.D)
		there, err := c.findRows(cmd, q)
		if err != nil {
			return nil, nil, err
		}
		matched += len(there)
		for _, d := range there {
			doc, _ := d.(bson.D)
			rows = append(rows, c.rowID(cmd, Get(doc, "_id")))
		}
		if len(there) == 0 && Get(u, "upsert") == true {
			upserted++
			rows = append(rows, c.rowID(cmd, Get(q, "_id")))
			ids = append(ids, bson.D{{Key: "index", Value: int32(i)}, {Key: "_id", Value: Get(q, "_id")}})
		}
	}
	counted = bson.D{{Key: "n", Value: int32(matched + upserted)}, {Key: "nModified", Value: int32(matched)}}
	if upserted > 0 {
		counted = append(counted, bson.E{Key: "upserted", Value: ids})
	}
	return counted, rows, nil
}

// findRows is what a majority has, whoever asks.
func (c *clientSession) findRows(cmd, filter bson.D) (bson.A, error) {
	reply, err := c.askServer(bson.D{
		{Key: "find", Value: cmd[0].Value}, {Key: "filter", Value: filter}, {Key: "batchSize", Value: int32(10_000)}, {Key: "$db", Value: Get(cmd, "$db")},
	})
	if err != nil {
		return nil, err
	}
	cursor, _ := Get(reply, "cursor").(bson.D)
	batch, _ := Get(cursor, "firstBatch").(bson.A)
	return batch, nil
}

func (c *clientSession) rowID(cmd bson.D, id any) string {
	return fmt.Sprint(Get(cmd, "$db"), ".", cmd[0].Value, " ", id)
}
