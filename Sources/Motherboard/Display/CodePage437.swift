/// The characters of the PC's own code page, as its font draws them: 00 to 1f and 7f are pictures too.
public enum CodePage437 {
  private static let text =
    " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼" + " !\"#$%&'()*+,-./0123456789:;<=>?" + "@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_"
    + "`abcdefghijklmnopqrstuvwxyz{|}~⌂" + "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒ" + "áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐"
    + "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀" + "αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{A0}"

  /// By character code, 256 of them.
  public static let scalars: [Unicode.Scalar] = Array(text.unicodeScalars)
  /// The same in UTF-8.
  static let utf8: [[UInt8]] = scalars.map { Array(String($0).utf8) }

  /// Text of character codes.
  public static func string(_ codes: some Sequence<UInt8>) -> String {
    var text = ""
    for code in codes { text.unicodeScalars.append(scalars[Int(code)]) }
    return text
  }
}
