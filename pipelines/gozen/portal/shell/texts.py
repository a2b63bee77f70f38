"""All texts of the portal, each in English and Japanese."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Text(NamedTuple):
    """A text in each language, in the order of `gozen.portal.shell.preferences.LANGUAGES`."""

    en: str
    ja: str


TEXTS: Mapping[str, Text] = {
    # the frame of every page
    "platform": Text("Gozen science platform", "Gozen サイエンスプラットフォーム"),
    "skip": Text("Skip to the content", "本文へ移動"),
    "nav": Text("Pages", "ページ"),
    "nav_data": Text("Data", "データ"),
    "nav_hub": Text("Servers", "サーバー"),
    "logged_in_as": Text("Logged in as", "ログイン中のユーザー"),
    "log_out": Text("Log out", "ログアウト"),
    "display": Text("Language and theme", "言語と配色"),
    "language": Text("Language", "言語"),
    "theme": Text("Theme", "配色"),
    "theme_auto": Text("Automatic", "自動"),
    "theme_light": Text("Light", "ライト"),
    "theme_dark": Text("Dark", "ダーク"),
    # the first page
    "data_title": Text("What data are here", "利用できるデータ"),
    "data_lead": Text(
        "The tables and nights of this archive. In a lab you can work with them.",
        "このアーカイブにある表と観測夜の一覧です。ラボを開くと、これらのデータをすぐに使えます。",
    ),
    "data_lead_releases": Text(
        "The releases of this archive. In a lab you can work with them.",
        "このアーカイブのリリースの一覧です。ラボを開くと、これらのデータをすぐに使えます。",
    ),
    "releases_only": Text(
        "You see only releases, because only members see all tables and nights: to become a member, ask {contact}.",
        "すべての表と観測夜はメンバーだけが見られるため、リリースだけを表示しています "
        "(メンバーになるには、{contact} に依頼してください)。",
    ),
    "administrators": Text("the administrators of this platform", "このプラットフォームの管理者"),
    "start": Text("Start", "はじめる"),
    "first_notebook": Text("Open the first notebook", "最初のノートブックを開く"),
    "first_notebook_note": Text(
        "Your lab starts if it is not running, and shows “{title}”. If your lab has access to the archive, the first "
        "cell runs without any setting.",
        "ラボが動いていなければ起動し、「{title}」を開きます。"
        "ラボがアーカイブを読める状態であれば、最初のセルは設定なしで実行できます。",
    ),
    "open_lab": Text("Open my lab", "ラボを開く"),
    "open_lab_note": Text(
        "JupyterLab with your own files, next to the data.",
        "自分のファイルを使える JupyterLab を、データのそばで開きます。",
    ),
    "no_light_curves": Text(
        "The first notebook reads the table {table}, which is not in the archive yet.",
        "最初のノートブックは表 {table} を読みますが、この表はまだアーカイブにありません。",
    ),
    "damaged_light_curves": Text(
        "The first notebook reads the table {table}, which cannot be read.",
        "最初のノートブックは表 {table} を読みますが、この表は読めません。",
    ),
    "fact_nights": Text("number of nights", "観測夜の数"),
    "fact_last_night": Text("latest night", "最新の観測夜"),
    "fact_rows": Text("rows in live tables", "更新中の表の行数"),
    "fact_size": Text("size of live tables", "更新中の表のサイズ"),
    "fact_releases": Text("number of releases", "リリースの数"),
    "none_yet": Text("none yet", "なし"),
    "live_title": Text("Live tables", "更新中の表"),
    "live_lead": Text(
        "They grow with every night that is appended. In a notebook:",
        "観測夜が追加されるたびに行が増えます。ノートブックでは次のように開きます:",
    ),
    "live_none": Text("There are no live tables yet.", "更新中の表はまだありません。"),
    "releases_title": Text("Releases", "リリース"),
    "releases_lead": Text(
        "Named sets of tables that never change: cite them by name.",
        "名前をつけて固定した表の組です。内容は変わらないので、論文などで名前を引用できます。",
    ),
    "releases_none": Text("There are no releases yet.", "リリースはまだありません。"),
    "column_table": Text("Table", "表"),
    "column_content": Text("Content", "内容"),
    "column_rows": Text("Rows", "行数"),
    "column_size": Text("Size", "サイズ"),
    "column_nights": Text("Nights", "観測夜"),
    "column_release": Text("Release", "リリース"),
    "kind_source": Text("light curves", "光度曲線"),
    "kind_object": Text("list of objects", "天体の一覧"),
    "kind_reference": Text("reference catalogue", "参照カタログ"),
    "span": Text("{first} to {last}", "{first} から {last} まで"),
    "damaged": Text("cannot be read", "読めません"),
    "reference_title": Text("Reference catalogue", "参照カタログ"),
    "reference_table": Text(
        "New exposures are matched with the table {name} of this archive.",
        "新しい露出は、このアーカイブの表 {name} と照合されます。",
    ),
    "reference_file": Text(
        "New exposures are matched with the file {name}.", "新しい露出は、ファイル {name} と照合されます。"
    ),
    "reference_simulated": Text(
        "New exposures are matched with the catalogue of the simulated sky.",
        "新しい露出は、模擬した星空のカタログと照合されます。",
    ),
    "reference_missing": Text(
        "The settings name the table {name}, which is not in this archive: new exposures cannot be reduced. An "
        "administrator can import the table, or change the setting.",
        "設定にある表 {name} がこのアーカイブにないため、新しい露出を整約できません。"
        "管理者は、この表を取り込むか、設定を変更してください。",
    ),
    "reference_size": Text("It has {rows} rows ({size}).", "{rows} 行 ({size}) あります。"),
    "reference_none": Text(
        "There is none. So Gozen finds the position of each new exposure without a catalogue, only from patterns of "
        "stars, and does not calibrate the fluxes. An administrator can add a catalogue with {command}.",
        "ありません。新しい露出の座標はカタログを使わずに星の並びだけから求められ、フラックスは較正されません。"
        "管理者は {command} で追加できます。",
    ),
    "nights_title": Text("Nights", "観測夜"),
    "nights_lead": Text(
        "Nights in the observation log, the latest first. Times are UTC.",
        "観測ログにある夜を、新しい順に示します。時刻は UTC です。",
    ),
    "nights_none": Text("There are no nights in the observation log yet.", "観測ログにはまだ夜がありません。"),
    "nights_unknown": Text(
        "The numbers of these nights could not be read yet: see the message above.",
        "これらの夜の数値はまだ読み込めていません。上のメッセージをご覧ください。",
    ),
    "column_night": Text("Night", "夜"),
    "column_exposures": Text("Exposures", "露出数"),
    "column_time": Text("First to last exposure", "最初から最後の露出まで"),
    "column_sensors": Text("Sensor images reduced", "整約済みのセンサー画像"),
    "column_rejected": Text("Rejected", "除外"),
    "pages_label": Text("Pages of nights", "観測夜のページ"),
    "page_of": Text("Page {page} of {pages}", "{pages} ページ中 {page} ページ目"),
    "newer": Text("Newer nights", "新しい夜"),
    "older": Text("Older nights", "古い夜"),
    "notebooks_title": Text("Notebooks", "ノートブック"),
    "notebooks_lead": Text(
        "Each opens in your lab as your own copy: change it as you like.",
        "ラボの中の自分用のコピーが開きます。自由に書き換えられます。",
    ),
    "as_of": Text("Read from {archive} at {time} UTC.", "{time} (UTC) に {archive} を読み込みました。"),
    # when there are no data to show
    "empty_title": Text("The archive has no data yet", "アーカイブにはまだデータがありません"),
    "empty_advice": Text(
        "Labs work, and data appear here about a minute after the first night is appended. If you run this platform, "
        "reduce and append a night ({night}), or make a simulated one ({demo}). If you expect data here, check that "
        "{archive} is the right address, and that it is mounted.",
        "ラボは使えます。最初の夜が追加されると、約 1 分後にデータがここに表示されます。"
        "管理者の方は、観測夜を整約して追加するか ({night})、模擬データをつくってください ({demo})。"
        "データがあるはずのときは、{archive} のアドレスが正しいか、マウントされているかを確認してください。",
    ),
    "away_title": Text("The archive cannot be read now", "現在、アーカイブを読み込めません"),
    "away_advice": Text(
        "Your lab and its files are not affected, but notebooks may fail to read data, too. Reload this page in a "
        "minute. If it does not help, show the message below to the administrators.",
        "ラボと自分のファイルに影響はありませんが、ノートブックからもデータを読めない可能性があります。"
        "1 分ほど待ってこのページを再読み込みしてください。"
        "それでも直らないときは、下のメッセージを管理者に伝えてください。",
    ),
    "refused_title": Text("The archive cannot be opened", "アーカイブを開けません"),
    "refused_advice": Text(
        "Your lab and its files are not affected. Waiting probably does not help: show the message below to the "
        "administrators.",
        "ラボと自分のファイルに影響はありません。待っても直らない可能性が高いため、"
        "下のメッセージを管理者に伝えてください。",
    ),
    "slow_title": Text("The archive is slow", "アーカイブの応答に時間がかかっています"),
    "slow_advice": Text(
        "It has not answered within {seconds} seconds. The portal continues to read it: reload this page in a minute.",
        "{seconds} 秒以内に応答がありませんでした。読み込みは続いています。1 分ほど待って再読み込みしてください。",
    ),
    "silent_title": Text("The archive does not answer", "アーカイブが応答しません"),
    "silent_advice": Text(
        "Your lab and its files are not affected, but notebooks may have to wait for data, too. This page shows new "
        "data as soon as the archive answers. If that takes long, tell the administrators.",
        "ラボと自分のファイルに影響はありませんが、ノートブックでもデータを待つ可能性があります。"
        "アーカイブが応答すると、このページに新しいデータが表示されます。長く続くときは、管理者に伝えてください。",
    ),
    "last_contents": Text(
        "This page shows what was read {minutes} min ago.", "このページは {minutes} 分前に読み込んだ内容です。"
    ),
    # log-out and errors
    "leaving_title": Text("Logged out of the portal", "ポータルからログアウトしました"),
    "leaving_advice": Text(
        "The browser now continues to the hub, which logs you out, too. If it does not, click the button.",
        "続いてハブからもログアウトします。ページが切り替わらないときは、ボタンを押してください。",
    ),
    "leaving_away": Text(
        "But the hub cannot be asked now, so this browser may still be logged in there, and may be let in here again. "
        "Click the button in a minute. On a shared computer, close the browser.",
        "ただし、現在ハブに問い合わせできないため、ハブにはまだログインしたままの可能性があり、"
        "その場合はポータルにも再び入れてしまいます。1 分ほど待ってから、ボタンを押してください。"
        "共用のコンピューターでは、ブラウザを閉じてください。",
    ),
    "leaving_on": Text("Log out of the hub too", "ハブからもログアウトする"),
    "error_home": Text("To the data", "データのページへ"),
    "error_again": Text("Try again", "もう一度試す"),
    "error_unauthorized_title": Text("You are not logged in", "ログインしていません"),
    "error_unauthorized_advice": Text(
        "Your session has ended, for example because you logged out in another tab. So nothing was changed. Log in, "
        "and send the form again.",
        "別のタブでログアウトしたなどの理由で、セッションが終了しています。何も変更されていません。"
        "ログインしてから、もう一度送信してください。",
    ),
    "error_login_state_title": Text("The log-in was not completed", "ログインが完了しませんでした"),
    "error_login_state_advice": Text(
        "The portal does not recognise this log-in. It may be completed already, or have been begun in another browser "
        "or more than ten minutes ago, or the browser does not keep cookies of this site. Go to the data to log in "
        "again. If it happens again, allow cookies, or ask an administrator.",
        "ポータルでこのログインを確認できません。すでに完了している、別のブラウザで始めた、10 分以上経過した、"
        "またはこのサイトのクッキーが保存されていない可能性があります。もう一度ログインしてください。"
        "同じことが起きたら、クッキーを許可するか、管理者に連絡してください。",
    ),
    "error_login_code_title": Text("The hub did not accept the log-in", "ハブがログインを受け付けませんでした"),
    "error_login_code_advice": Text(
        "Usually this log-in step was used already, or is too old: log in again. If it happens again, ask an "
        "administrator; the portal's log has the answer of the hub.",
        "多くの場合、このログインの手続きは使用済みか、期限切れです。もう一度ログインしてください。"
        "同じことが起きたら、管理者に連絡してください。ポータルのログにハブの返答があります。",
    ),
    "error_login_refused_title": Text("The hub did not confirm the log-in", "ハブでログインを確認できませんでした"),
    "error_login_refused_advice": Text(
        "Try again. If it happens again, ask an administrator.",
        "もう一度試してください。同じことが起きたら、管理者に連絡してください。",
    ),
    "error_login_scope_title": Text("You may not open this portal", "このポータルを開く権限がありません"),
    "error_login_scope_advice": Text(
        "Your account is known, but has no access to this portal. Ask an administrator for it.",
        "アカウントは確認できましたが、このポータルへのアクセスが許可されていません。管理者に依頼してください。",
    ),
    "error_foreign_title": Text("The form was not accepted", "送信を受け付けませんでした"),
    "error_foreign_advice": Text(
        "The portal cannot tell that it came from one of its own pages and from this session, so nothing was changed. "
        "Open the portal at its usual address, and try again there. If it happens again, ask an administrator to check "
        "the address of the portal in the settings.",
        "このポータルのページと現在のセッションから送信されたことを確認できないため、何も変更されていません。"
        "通常のアドレスでポータルを開き直し、もう一度試してください。"
        "同じことが起きたら、設定にあるポータルのアドレスの確認を管理者に依頼してください。",
    ),
    "error_missing_title": Text("There is no such page", "ページが見つかりません"),
    "error_missing_advice": Text(
        "The address may be mistyped, or the page has moved.",
        "アドレスが間違っているか、ページが移動した可能性があります。",
    ),
    "error_method_title": Text("This page cannot be used in this way", "このページはその方法では使えません"),
    "error_method_advice": Text(
        "This address is for the buttons of other pages, or was used by a program in a way that the portal does not "
        "know. Go to the data, and use the buttons there.",
        "これはほかのページのボタンのためのアドレスか、プログラムがポータルの知らない方法で使ったアドレスです。"
        "データのページを開き、そこのボタンを使ってください。",
    ),
    "error_away_title": Text("The hub cannot be asked now", "現在、ハブに問い合わせできません"),
    "error_away_advice": Text(
        "The portal asks the hub who you are, but the hub does not answer or reports an error, for example because it "
        "restarts. Running labs continue. Try again in a minute. If it does not help, tell the administrators.",
        "ポータルはハブに問い合わせてユーザーを確認しますが、再起動中などの理由で、"
        "ハブが応答しないか、エラーを返しています。動いているラボは継続します。1 分ほど待って、もう一度試してください。"
        "それでも直らないときは、管理者に連絡してください。",
    ),
    "error_bug_title": Text("Something went wrong here", "ポータルでエラーが発生しました"),
    "error_bug_advice": Text(
        "This is an error of the portal, not yours. Try again; administrators find the details in the portal's log.",
        "これはポータル側の問題です。もう一度試してください。管理者は、ポータルのログで詳細を確認できます。",
    ),
}
"""The texts by their names; ``{...}`` is filled in by the page."""
