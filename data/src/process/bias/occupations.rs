//! Attributes whose company is measured unless a recipe names others.

/// English names of occupations.
pub const OCCUPATIONS: [&str; 60] = [
    "accountant", "architect", "artist", "assistant", "astronaut", "attorney", "author", "baker", "banker", "barber",
    "builder", "carpenter", "cashier", "chef", "chemist", "cleaner", "clerk", "coach", "cook", "dancer", "dentist",
    "designer", "director", "doctor", "driver", "editor", "electrician", "engineer", "farmer", "hairdresser",
    "housekeeper", "inspector", "janitor", "journalist", "judge", "lawyer", "librarian", "manager", "mathematician",
    "mechanic", "musician", "nanny", "nurse", "painter", "pharmacist", "photographer", "physician", "pilot", "plumber",
    "president", "professor", "programmer", "receptionist", "scientist", "secretary", "soldier", "surgeon", "tailor",
    "teacher", "writer",
];
