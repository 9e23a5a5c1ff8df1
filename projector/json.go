package projector

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/onceish/onceish/bus"
)

// JSON returns a Func for events whose data is a JSON object: that is the document. MongoDB's
// Extended JSON has types that JSON has not, such as {"$date": "2026-01-02T03:04:05Z"}. An event
// without data, and null, deletes the document. The key is the event's, or, unless keyField is
// empty, the text or the whole number in that field of the data; then null has no key.
func JSON(keyField string) Func {
	return func(e bus.Event) (Change, error) {
		data := bytes.TrimSpace(e.Data)
		if len(data) == 0 || string(data) == "null" {
			if keyField != "" || e.Key == "" {
				return Change{}, errors.New("it has no data, so that it deletes a document, and no key that says which: publish it with a key, and take documents by that of their event")
			}
			return Delete(e.Key), nil
		}
		var document bson.D
		if err := bson.UnmarshalExtJSON(data, false, &document); err != nil {
			return Change{}, fmt.Errorf("its data is not a JSON object: %w", err)
		}
		if keyField == "" {
			return Upsert(e.Key, document), nil
		}
		key, err := keyIn(document, keyField)
		return Upsert(key, document), err
	}
}

// keyIn returns the key in a field of a document.
func keyIn(document bson.D, field string) (string, error) {
	for _, f := range document {
		if f.Key != field {
			continue
		}
		switch v := f.Value.(type) {
		case string:
			return v, nil
		case int32:
			return strconv.FormatInt(int64(v), 10), nil
		case int64:
			return strconv.FormatInt(v, 10), nil
		}
		return "", fmt.Errorf("the field %q of its data, which is the key, is neither text nor a whole number", field)
	}
	return "", fmt.Errorf("its data has no field %q, which is the key", field)
}

// ParseUnique reads a Unique from text: the field, and after a colon the policy, such as
// "email:first".
func ParseUnique(text string) (Unique, error) {
	field, policy, _ := strings.Cut(text, ":")
	us, err := checkUnique([]Unique{{Field: field, Policy: Policy(policy)}})
	if err != nil {
		return Unique{}, fmt.Errorf("%.64q is no unique field: write a field at the top level of the document, and a policy (%s, %s or %s), such as email:first", text, DeadLetter, FirstWins, LastWins)
	}
	return us[0], nil
}
