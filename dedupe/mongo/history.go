package mongo

import (
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/dedupe"
	"github.com/onceish/onceish/internal/mongoserver/expr"
)

// attemptDocument is an attempt as a row has it.
func attemptDocument(a *dedupe.Attempt) bson.D {
	kept := a.Kept()
	return bson.D{
		expr.Field("number", int64(kept.Number)), expr.Field("ended", kept.Ended), expr.Field("took_ns", int64(kept.Took)),
		expr.Field("process", kept.Process), expr.Field("token", int64(kept.Token)), expr.Field("sequence", int64(kept.Sequence)),
		expr.Field("error", kept.Error),
	}
}

// historyArray is a history as a row has it.
func historyArray(history []dedupe.Attempt) bson.A {
	all := make(bson.A, len(history))
	for i := range history {
		all[i] = attemptDocument(&history[i])
	}
	return all
}

// keptHistory is the history of a row as it is.
func keptHistory() bson.D {
	return expr.Op("$cond", bson.A{expr.Op("$isArray", "$history"), "$history", bson.A{}})
}

// appendedHistory is the history of a row with one attempt more, unless that is in it already. Of
// more than are kept the server leaves out the earliest.
func appendedHistory(a *dedupe.Attempt) bson.D {
	all := expr.Op("$concatArrays", bson.A{keptHistory(), expr.Literal(bson.A{attemptDocument(a)})})
	return expr.Op("$cond", bson.A{isInHistory(a), "$history", expr.Op("$slice", bson.A{all, -dedupe.MaxHistory})})
}

// attemptsAdded is how many attempts a settlement counts: none if its attempt is in the history
// already. Without an attempt that is not known.
func attemptsAdded(a *dedupe.Attempt) any {
	if a == nil {
		return int64(1)
	}
	return expr.Op("$cond", bson.A{isInHistory(a), int64(0), int64(1)})
}

func isInHistory(a *dedupe.Attempt) bson.D {
	return expr.Op("$in", bson.A{expr.Literal(attemptDocument(a)), keptHistory()})
}

// readHistory skips what is no attempt, and leaves zero what is not as it should be.
func readHistory(v bson.RawValue) (history []dedupe.Attempt) {
	list, _ := v.ArrayOK()
	values, err := list.Values()
	if err != nil {
		return nil
	}
	for _, value := range values {
		if d, ok := value.DocumentOK(); ok {
			history = append(history, readAttempt(d))
		}
	}
	return history
}

func readAttempt(d bson.Raw) (a dedupe.Attempt) {
	number, _ := d.Lookup("number").AsInt64OK()
	took, _ := d.Lookup("took_ns").AsInt64OK()
	token, _ := d.Lookup("token").AsInt64OK()
	sequence, _ := d.Lookup("sequence").AsInt64OK()
	a.Number, a.Took, a.Token, a.Sequence = int(number), time.Duration(took), uint64(token), uint64(sequence)
	if ended, ok := d.Lookup("ended").DateTimeOK(); ok {
		a.Ended = time.UnixMilli(ended).UTC()
	}
	a.Process, _ = d.Lookup("process").StringValueOK()
	a.Error, _ = d.Lookup("error").StringValueOK()
	return a
}
