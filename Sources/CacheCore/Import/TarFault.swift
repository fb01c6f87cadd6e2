/// What is wrong with a tar; the splitter adds the entry and the place.
struct TarFault: Error {
    let what: String
    init(_ what: String) { self.what = what }
}
