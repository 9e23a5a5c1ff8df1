// Makes a role of MongoDB for each of the tasks around Onceish, on the database that has marks and
// outbox. Repeat it to bring roles up to date:
//
//   ONCEISH_DATABASE=shop mongosh mongodb://admin@db.example/admin deploy/mongo/roles.js
//
// Give one to a user: db.createUser({user: "billing", pwd: passwordPrompt(), roles: ["onceish-worker"]}).
const roles = {
  // Workers: marks, documents that are changed once, rows of the outbox, and its drainer.
  "onceish-worker": ["find", "insert", "update", "remove", "createCollection", "listCollections", "createIndex", "listIndexes", "changeStream"],
  // Workers that only publish from an outbox.
  "onceish-drain": ["find", "insert", "update", "remove", "createCollection", "listCollections", "createIndex", "listIndexes", "changeStream"],
  // worker provision.
  "onceish-provision": ["find", "createCollection", "listCollections", "createIndex", "listIndexes", "collMod"],
  // Who only looks: the admin API with read_only, and the commands that change nothing. To open an
  // outbox takes insert: it makes sure that all its partitions are there.
  "onceish-read": ["find", "insert", "listCollections", "listIndexes"],
  // Operators: the admin API, and the commands that redrive, replay, retry and drop.
  "onceish-operate": ["find", "insert", "update", "remove", "listCollections", "listIndexes"],
};

const name = process.env.ONCEISH_DATABASE || "onceish";
const database = db.getSiblingDB(name);
for (const [role, actions] of Object.entries(roles)) {
  const privileges = [{ resource: { db: name, collection: "" }, actions }];
  if (database.getRole(role)) {
    database.updateRole(role, { privileges, roles: [] });
  } else {
    database.createRole({ role, privileges, roles: [] });
  }
}
