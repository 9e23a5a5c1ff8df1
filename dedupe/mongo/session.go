package mongo

import (
	"context"
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"

	"github.com/onceish/onceish/internal/mongoserver"
	"github.com/onceish/onceish/internal/mongoserver/expr"
)

// What a server says of a transaction, by the label of an error.
const (
	cameToNothing = "TransientTransactionError"
	mayBeDone     = "UnknownTransactionCommitResult"
)

// Codes by which a server says why it gave a transaction up, or makes none.
const (
	illegalOperation  = 20
	lockTimeout       = 24
	writeConflict     = 112
	noSuchTransaction = 251
)

// startTransaction starts one whose concerns are its own: those of clients and collections do not
// matter in it.
func startTransaction(sess *driver.Session) error {
	return sess.StartTransaction(options.Transaction().SetReadConcern(readconcern.Majority()).
		SetWriteConcern(writeconcern.Majority()).SetReadPreference(readpref.Primary()))
}

// abortTransaction undoes a transaction. Where that is not heard, whoever takes the claim over does
// it, or the server when the transaction's time is over.
func (s *Store) abortTransaction(ctx context.Context, sess *driver.Session) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	_ = sess.AbortTransaction(ctx) // says nothing of the server's answer
}

// endSession gives the session back, and sends nothing: what is to be aborted was.
func endSession(ctx context.Context, sess *driver.Session) {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	sess.EndSession(ctx)
}

// killSessions has the server end sessions with their transactions and locks. Those of the same
// user need no privilege.
func (s *Store) killSessions(ctx context.Context, ids bson.A) error {
	admin := s.own.Database().Client().Database("admin")
	return admin.RunCommand(ctx, bson.D{expr.Field("killSessions", ids)}, options.RunCmd().SetReadPreference(readpref.Primary())).Err()
}

func hasLabel(err error, label string) bool {
	e, ok := errors.AsType[driver.LabeledError](err)
	return ok && e.HasErrorLabel(label)
}

// conflictsWithAnother reports whether a server, and not a connection, says that a transaction
// met another one.
func conflictsWithAnother(err error) bool {
	return mongoserver.HasCode(err, writeConflict, lockTimeout) && !driver.IsNetworkError(err)
}

// reasonOf says in words why a server gave a transaction up; its own message, which names the
// collection where it knows it, goes with it.
func reasonOf(err error) string {
	switch {
	case driver.IsNetworkError(err):
		return "a lost connection"
	case mongoserver.HasCode(err, writeConflict):
		return "a write conflict: another transaction has written the same document, or holds its claim"
	case mongoserver.HasCode(err, lockTimeout):
		return "a lock that it could not have in time: something holds the collection"
	case mongoserver.HasCode(err, noSuchTransaction):
		return "a transaction that the server does not know any more: it was ended, or the primary changed"
	}
	return "a reason of the server's"
}
