import Testing

@testable import Configuration

/// The grammar of xl.cfg(5), and where its mistakes are said to be.
struct XLConfigurationTests {
  func mistake(_ text: String) -> ConfigurationError? {
    do {
      _ = try XLConfiguration(parsing: text)
      return nil
    } catch { return error }
  }

  @Test func anOrdinaryFileIsReadInItsOrder() throws {
    let file = try XLConfiguration(
      parsing: """
        # a guest
        name = "debian"
        memory=512;vcpus = 1
        kernel = '/boot/vmlinuz' # stock
        disk = [ 'a.raw,raw,xvda,rw',
                 # a second one
                 "b.raw,raw,xvdb,r", ]
        mask = 0x1F
        """)
    #expect(file.entries.map(\.key) == ["name", "memory", "vcpus", "kernel", "disk", "mask"])
    #expect(file.entries.map(\.line) == [2, 3, 3, 4, 5, 8])
    #expect(try file.string("name") == "debian")
    #expect(try file.number("memory") == 512)
    #expect(try file.string("kernel") == "/boot/vmlinuz")
    #expect(try file.strings("disk") == ["a.raw,raw,xvda,rw", "b.raw,raw,xvdb,r"])
    #expect(try file.number("mask") == 31)
    #expect(try file.string("absent") == nil)
    #expect(try file.number("absent") == nil)
    #expect(try file.strings("absent") == nil)
  }

  @Test func theLastAssignmentStandsAndPlusEqualsAppends() throws {
    let file = try XLConfiguration(parsing: "a = 1\na = 2\ns = 'x'\ns += 'y'\nl = ['p']\nl += ['q', 'r']\nn += 'alone'\n")
    #expect(file["a"] == .number(2))
    #expect(file["s"] == .string("xy"))
    #expect(try file.strings("l") == ["p", "q", "r"])
    #expect(file["n"] == .string("alone"))
  }

  @Test func escapesQuotesAndNestedLists() throws {
    let file = try XLConfiguration(parsing: #"a = "x\"y\n\t\\z"; b = 'it "is"'; c = [[1, 'two'], []]; d = -7"# + "\r\ne = ''\r\n")
    #expect(file["a"] == .string("x\"y\n\t\\z"))
    #expect(file["b"] == .string("it \"is\""))
    #expect(file["c"] == .list([.list([.number(1), .string("two")]), .list([])]))
    #expect(file["d"] == .number(-7))
    #expect(file["e"] == .string(""))
  }

  @Test func emptyFilesHaveNoEntries() throws {
    for text in ["", "\n\n", "# only this", ";;;\n ; \r\n"] { #expect(try XLConfiguration(parsing: text).entries.isEmpty, "\(text)") }
  }

  @Test(arguments: [
    ("= 3", 1, "key"), ("a = 1\n3 = b", 2, "key"), ("\n\nname", 3, "'='"), ("a\n= 1", 1, "'='"), ("a =\nb = 2", 1, "value"),
    ("a = ", 1, "value"), ("a = word", 1, "word"), ("a = 1\nb = 1x", 2, "1x"), ("a = 'open\n\n", 1, "not closed"),
    ("x = 1\na = [ 'b',\n 'c'\n", 2, "not closed"), ("a = [1 2]", 1, "','"), ("a = [1,\n 2\n 3]", 3, "','"),
    ("a = 1 2", 1, "after the value"),
    ("a = 1\nb = 'x' 'y'", 2, "after the value"), ("a = 99999999999999999999", 1, "99999999999999999999"), ("a = 0xZ", 1, "0xZ"),
    ("a = [[[[[[[[[[1]]]]]]]]]]", 1, "deeply"), ("a = ]", 1, "neither"), ("ä = 1", 1, "key"),
  ])
  func mistakesNameTheirLine(text: String, line: Int, words: String) throws {
    let error = try #require(mistake(text), "\(text) was accepted")
    #expect(error.line == line, "\(text): \(error)")
    #expect(error.message.contains(words), "\(text): \(error)")
    #expect(error.description.hasPrefix("line \(line): ") && !error.description.contains("\n"))
  }

  @Test func valuesOfTheWrongKindNameTheirLine() throws {
    let file = try XLConfiguration(parsing: "l = ['a', 1]\nn = 5\ns = 'text'\nt = '12'\n")
    #expect(try file.string("n") == "5")
    #expect(try file.number("t") == 12)
    #expect(try file.strings("s") == ["text"])
    #expect(try file.strings("n") == ["5"])
    #expect(throws: ConfigurationError(line: 1, message: "l wants a string, not a list")) { try file.string("l") }
    #expect(throws: ConfigurationError(line: 1, message: "l wants a number, not a list")) { try file.number("l") }
    #expect(throws: ConfigurationError(line: 1, message: "l wants a list of strings")) { try file.strings("l") }
    #expect(throws: ConfigurationError(line: 3, message: "s wants a number, not \"text\"")) { try file.number("s") }
  }

  @Test func errorsOutsideAFileHaveNoLine() {
    #expect(ConfigurationError(message: "wrong").description == "wrong")
  }
}
