package mongowire

import "go.mongodb.org/mongo-driver/v2/bson"

// With sets a field of a reply.
func With(d bson.D, name string, value any) bson.D {
	for i := range d {
		if d[i].Key == name {
			d[i].Value = value
			return d
		}
	}
	return append(d, bson.E{Key: name, Value: value})
}

// WriteError is how a server turns one item of a command down.
func WriteError(index, code int, text string) bson.D {
	return bson.D{{Key: "index", Value: int32(index)}, {Key: "code", Value: int32(code)}, {Key: "errmsg", Value: text}}
}

// Failure is how a server answers that it cannot.
func Failure(code int, name string) bson.D {
	return bson.D{{Key: "ok", Value: 0.0}, {Key: "code", Value: int32(code)}, {Key: "codeName", Value: name}, {Key: "errmsg", Value: name}}
}
